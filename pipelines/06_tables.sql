-- The tables of arXiv 2112.14299, in its order: 2, how often both models are right at both depths; 3, how many galaxies one pixel
-- flips; 4, how far galaxies move in latent space, of those that both attacks flip; 5, how far apart the distributions of these
-- distances are. The discrepancy of one-year latents from ten-year ones, which adaptation is to lower, comes last.
with accuracies as (
    select
        split_part(score, '_', 1) as model, upper(split_part(score, '_', 2)) as depth,
        accuracy, precision, recall, f1
    from accuracy
    where scope = 'total' and class = 'all'
),
attacks as (
    select 'regular' as model, object_id, success, flipped from regular_pixel
    union all
    select 'da', object_id, success, flipped from da_pixel
),
numbers as (
    select 2 as part, depth || ' accuracy' as quantity, model, accuracy as number from accuracies
    union all
    select 2, depth || ' precision', model, precision from accuracies
    union all
    select 2, depth || ' recall', model, recall from accuracies
    union all
    select 2, depth || ' F1', model, f1 from accuracies
    union all
    select 3, 'galaxies attacked', model, count(distinct object_id) from attacks where success is not null group by model
    union all
    select 3, 'galaxies flipped', model, count(distinct object_id) from attacks where flipped group by model
),
distances as (
    select 'Y10 to flipped' as moved, * from pixel_distance where scope = 'total'
    union all
    select 'Y10 to Y1', * from noise_distance where scope = 'total'
),
side_by_side as (
    select
        part, quantity,
        max(case when model = 'regular' then number end) as regular,
        max(case when model = 'da' then number end) as da
    from numbers
    group by part, quantity
    union all
    select 4, moved || ': galaxies', n as regular, n as da from distances
    union all
    select 4, moved || ': median distance', median, versus_median from distances
    union all
    select 4, moved || ': mean distance', mean, versus_mean from distances
    union all
    select 4, moved || ': standard error', standard_error, versus_standard_error from distances
    union all
    select 5, moved || ': Jensen-Shannon distance of regular and da', js_distance as regular, js_distance as da from distances
    union all
    select 5, moved || ': without any difference, median', js_null_median as regular, js_null_median as da from distances
    union all
    select 5, moved || ': p-value', js_p_value as regular, js_p_value as da from distances
    union all
    select 6, 'MMD^2 of Y1 latents from Y10, mean of windows', (select avg(mmd2) from regular_drift), (select avg(mmd2) from da_drift)
)
select part as "table", quantity, round(regular, 3) as regular, round(da, 3) as da
from side_by_side
order by part, quantity
