-- Which galaxies each model had right, for the paired comparisons.
select
    split_part(run, '-', 1) as network,
    split_part(run, '-', 2) as training,
    split_part(run, '-', 3) as seed,
    object_id,
    y10_class = label as y10_right,
    y1_class = label as y1_right
from objects
order by network, training, seed, object_id
