-- A row for every visit: its depth, how often both models are right, and how far their latents are from those of ten years' depth.
with visits as (
    select
        visit, min(years) as years,
        avg(case when regular_class = label then 1.0 else 0.0 end) as regular_accuracy,
        avg(case when da_class = label then 1.0 else 0.0 end) as da_accuracy
    from objects
    group by visit
)
select
    v.visit, round(v.years, 2) as years,
    round(v.regular_accuracy, 3) as regular_right, round(r.mmd2, 4) as regular_mmd2, r.p_val as regular_p, r.is_drift as regular_drift,
    round(v.da_accuracy, 3) as da_right, round(d.mmd2, 4) as da_mmd2, d.p_val as da_p, d.is_drift as da_drift
from visits v
join regular_drift r on r.value = cast(v.visit as varchar)
join da_drift d on d.value = cast(v.visit as varchar)
order by v.visit
