-- The simulator's classes, and those of the Gini-M20 lines on the noise-free image as ten years' PSF blurs it.
select
    label as truth,
    count(*) as galaxies,
    sum(case when morphology_class = 'spiral' then 1 else 0 end) as called_spiral,
    sum(case when morphology_class = 'elliptical' then 1 else 0 end) as called_elliptical,
    sum(case when morphology_class = 'merger' then 1 else 0 end) as called_merger,
    sum(case when morphology_class is null then 1 else 0 end) as without_class
from objects
group by truth
order by truth
