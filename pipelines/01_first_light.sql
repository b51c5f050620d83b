-- Two models, two depths. The regular model fails on one-year images; the adapted one does not.
select
    split_part(score, '_', 1) as model,
    case split_part(score, '_', 2) when 'y10' then 'ten years' else 'one year' end as exposure,
    n as galaxies,
    round(accuracy, 3) as accuracy,
    round(accuracy_low, 3) as low_95,
    round(accuracy_high, 3) as high_95
from accuracy
where scope = 'total' and class = 'all'
order by model desc, exposure desc
