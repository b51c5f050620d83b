-- Distances in latent space of the galaxies that both attacks flip, from ten years' depth: to the flipped image, and to one year's
-- depth. The Jensen-Shannon distance between the two models has its permutation null beside it.
select
    moved_by, n as galaxies,
    round(median, 2) as regular_median, round(mean, 2) as regular_mean, round(standard_error, 2) as regular_error,
    round(versus_median, 2) as da_median, round(versus_mean, 2) as da_mean, round(versus_standard_error, 2) as da_error,
    round(js_distance, 3) as js, round(js_null_median, 3) as js_null, round(js_null_p95, 3) as js_null_p95, js_p_value as p
from (
    select 'one pixel' as moved_by, * from pixel_distance where scope = 'total'
    union all
    select 'one year instead of ten', * from noise_distance where scope = 'total'
)
order by moved_by
