-- All da_latent are equal, other_latent of row r is 4 r from them: E|X-Y| = 10, E|Y-Y'| = 70/9, the root of 20 - 70/9 is 3.496.
select round(energy_distance(da_latent, other_latent), 6) as energy, round(mmd2(da_latent, other_latent), 6) as paper,
       round(mmd2(da_latent, other_latent, 50), 6) as one_kernel, round(js_distance(mag, mag + 1), 6) as histograms,
       round(js_distance(mag, mag + 1, 2), 6) as two_bins, round(energy_distance(mag, mag + 1), 6) as of_numbers
from objects;
-- A column in two groups: rows without a label are in neither.
select round(mmd2(other_latent, label = 'spiral'), 6) as spirals, round(energy_distance(mag, label = 'spiral'), 6) as mags,
       round(js_distance(mag, label = 'spiral', 4), 6) as histograms
from objects;
-- The same by two columns with nulls, and with a filter.
select round(mmd2(case when label <> 'spiral' then other_latent end, case when label = 'spiral' then other_latent end), 6) as spirals,
       round(energy_distance(mag, label = 'spiral') filter (where mag < 19), 6) as bright_mags
from objects;
-- Groups, of which some have too few points.
select da_class, count(*) as n, mmd2(da_latent, other_latent) is null as too_few, round(energy_distance(da_latent, other_latent), 6) as energy
from objects group by da_class order by da_class;
-- Over all rows beside each of them, and as a condition.
select object_id, round(energy_distance(mag, label = 'spiral') over (order by object_id), 6) as so_far,
       round(mmd2(da_latent, other_latent) over (partition by mag > 17 or mag is null), 6) as of_its_group
from objects order by object_id;
select da_class from objects group by da_class having energy_distance(da_latent, other_latent) > 3;
-- Nothing to compare.
select mmd2([1.0], reason = 'x') as none, energy_distance(1, reason = 'x') as no_energy, js_distance(1, 2) as no_histogram from rejects;
select mmd2(null, [1]) as no_list, js_distance(mag, null) as no_number, energy_distance(da_latent, null) as no_side from objects;
-- Lists of any numbers; those with a null are left out. |X - Y| is 5, |Y - Y'| is 0.
select round(energy_distance([3, 0], [0.0, 4.0]), 6) as root_of_ten, energy_distance(case when mag > 0 then [1, null] end, [1, 2]) as with_null,
       js_distance(case when mag is null then 'NaN'::double else mag end, 17) as not_a_number
from objects
