-- The latents of row r differ by r in 16 numbers, so their distance is 4 r. Positions count from 1; ties give the first.
select object_id, l2_distance(da_latent, other_latent) as distance, array_argmax(da_probability) as best,
       da_probability[array_argmax(da_probability)] as greatest
from objects;
select l2_distance([3, 0], [0.0, 4]) as five, array_argmax([1, 3, 3]) as first_of_equals, array_argmax([2, 'NaN'::double]) as not_nan,
       array_argmax([]) as nothing, l2_distance(null, [1]) as unknown, l2_distance([1, null], [1, 2]) as with_null
