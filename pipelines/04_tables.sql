-- How many galaxies one pixel flips, how long that takes, and how far it moves them in latent space: of those that were right before,
-- per model and kind of pixel. `pixel_distance` and `noise_distance` compare the models on the galaxies that both attacks flip.
with attacked as (
    select 'regular' as model, 'any value' as pixel, object_id, label_target, success, flipped, iterations, queries, latent_dist_l2
    from regular_pixel
    union all
    select 'da', 'any value', object_id, label_target, success, flipped, iterations, queries, latent_dist_l2 from da_pixel
    union all
    select 'regular', 'cosmic ray', object_id, label_target, success, flipped, iterations, queries, latent_dist_l2 from regular_ray
    union all
    select 'da', 'cosmic ray', object_id, label_target, success, flipped, iterations, queries, latent_dist_l2 from da_ray
),
galaxies as (
    select
        model, pixel, object_id,
        bool_or(flipped) as flipped,
        min(case when flipped then iterations end) as iterations,
        min(case when flipped then latent_dist_l2 end) as distance,
        sum(queries) as queries
    from attacked
    where success is not null
    group by model, pixel, object_id
)
select
    pixel, model,
    count(*) as attacked,
    count(*) filter (where flipped) as flipped,
    median(iterations) as median_iterations,
    round(avg(iterations), 1) as mean_iterations,
    round(median(distance), 2) as median_distance,
    sum(queries) as queries
from galaxies
group by pixel, model
order by pixel, model desc
