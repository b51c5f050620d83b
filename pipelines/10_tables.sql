-- How far latents and shapes move between the visit and the template as it is, the template with the blur of the visit, and the control,
-- with its noise too. The last row is the floor: two controls that differ in their noise alone. What the control moves beyond it is
-- neither blur nor noise. Shapes are medians of absolute differences over the objects that are measured in all images.
with latents as (
    select 1 as step, 'template as it is' as compared, n, median, mean from shift where scope = 'total'
    union all
    select 2, 'template with the blur of the visit', n, median, mean from blur_alone where scope = 'total'
    union all
    select 3, 'control: its blur and its noise', n, median, mean from control_moved where scope = 'total'
    union all
    select 4, 'floor: two controls', n, median, mean from floor where scope = 'total'
),
measured as (
    select * from objects
    where greatest(science_shape_flag, template_shape_flag, blurred_shape_flag, control_shape_flag, repeat_shape_flag) <= 2
      and science_shape_gini + template_shape_gini + blurred_shape_gini + control_shape_gini + repeat_shape_gini is not null
),
shapes as (
    select 1 as step, science_shape_gini as gini, template_shape_gini as other_gini, science_shape_m20 as m20, template_shape_m20 as other_m20,
           science_shape_half_light_pixels as size, template_shape_half_light_pixels as other_size from measured
    union all
    select 2, science_shape_gini, blurred_shape_gini, science_shape_m20, blurred_shape_m20, science_shape_half_light_pixels,
           blurred_shape_half_light_pixels from measured
    union all
    select 3, science_shape_gini, control_shape_gini, science_shape_m20, control_shape_m20, science_shape_half_light_pixels,
           control_shape_half_light_pixels from measured
    union all
    select 4, control_shape_gini, repeat_shape_gini, control_shape_m20, repeat_shape_m20, control_shape_half_light_pixels,
           repeat_shape_half_light_pixels from measured
),
moved as (
    select step, count(*) as measured, median(abs(gini - other_gini)) as gini, median(abs(m20 - other_m20)) as m20,
           median(abs(size - other_size)) as half_light
    from shapes group by step
)
select compared, l.n as objects, round(l.median, 2) as latent_median, round(l.mean, 2) as latent_mean, measured,
       round(gini, 3) as gini, round(m20, 3) as m20, round(half_light, 2) as half_light_pixels
from latents l left join moved on moved.step = l.step
order by l.step
