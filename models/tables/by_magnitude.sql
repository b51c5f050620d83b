-- Accuracy by r magnitude, over all seeds.
select
    split_part(run, '-', 1) as network,
    split_part(run, '-', 2) as training,
    floor(magnitude_r) as magnitude_r_from,
    count(distinct object_id) as galaxies,
    avg(case when y10_class = label then 1.0 else 0.0 end) as y10,
    avg(case when y1_class = label then 1.0 else 0.0 end) as y1
from objects
group by network, training, magnitude_r_from
order by network, training, magnitude_r_from
