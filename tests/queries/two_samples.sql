-- All da_latent are equal, and other_latent of row r is at distance 4 r: E|X-Y| = 10, E|Y-Y'| = 70/9, sqrt(20 - 70/9) = 3.496.
select round(energy_distance(da_latent, other_latent), 6) as energy, round(mmd2(da_latent, other_latent), 6) as paper,
       round(mmd2(da_latent, other_latent, 50), 6) as one_kernel, round(js_distance(mag, mag + 1), 6) as histograms,
       round(js_distance(mag, mag + 1, 2), 6) as two_bins, round(energy_distance(mag, mag + 1), 6) as of_numbers
from objects;
-- Two groups of one column. Rows without a label are in neither.
select round(mmd2(other_latent, label = 'spiral'), 6) as spirals, round(energy_distance(mag, label = 'spiral'), 6) as mags,
       round(js_distance(mag, label = 'spiral', 4), 6) as histograms
from objects;
-- The same with two columns and nulls, and with a filter.
select round(mmd2(case when label <> 'spiral' then other_latent end, case when label = 'spiral' then other_latent end), 6) as spirals,
       round(energy_distance(mag, label = 'spiral') filter (where mag < 19), 6) as bright_mags
from objects;
-- Groups, some with too few points.
select da_class, count(*) as n, mmd2(da_latent, other_latent) is null as too_few, round(energy_distance(da_latent, other_latent), 6) as energy
from objects group by da_class order by da_class;
-- As a window function and in a having clause.
select object_id, round(energy_distance(mag, label = 'spiral') over (order by object_id), 6) as so_far,
       round(mmd2(da_latent, other_latent) over (partition by mag > 17 or mag is null), 6) as of_its_group
from objects order by object_id;
select da_class from objects group by da_class having energy_distance(da_latent, other_latent) > 3;
-- Empty samples.
select mmd2([1.0], reason = 'x') as none, energy_distance(1, reason = 'x') as no_energy, js_distance(1, 2) as no_histogram from rejects;
select mmd2(null, [1]) as no_list, js_distance(mag, null) as no_number, energy_distance(da_latent, null) as no_side from objects;
-- Lists of other number types; lists with a null are left out. |X - Y| = 5, |Y - Y'| = 0.
select round(energy_distance([3, 0], [0.0, 4.0]), 6) as root_of_ten, energy_distance(case when mag > 0 then [1, null] end, [1, 2]) as with_null,
       js_distance(case when mag is null then 'NaN'::double else mag end, 17) as not_a_number
from objects
