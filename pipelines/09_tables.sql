-- What one pixel does to the sources that the network keeps (0.5 and above) and to those that it drops: how many are attacked, how many
-- cross 0.5 (and how many a track of five pixels moves), and by how much scores change. `largest_change` is the largest found by either monitor; `worst_reliability` the largest
-- difference between our score and that of the packet.
with scored as (
    select object_id, origin, cast(rb_class as varchar) as rb_class, cast(rb_probability[2] as double) as score, cast(reliability as double) as reliability
    from objects
),
changes as (
    select object_id, origin, success as crosses, abs(p_after - p_before) as change from ray where success is not null
    union all
    select object_id, origin, flips, greatest(largest_drop, 0) from map where flips is not null
),
sources as (
    select object_id, origin, bool_or(crosses) as crosses, max(change) as change
    from changes
    group by object_id, origin
)
select
    s.rb_class as "before",
    case when s.rb_class = 'real' then 'dropped by one pixel' else 'kept by one pixel' end as moved_to,
    count(*) as sources,
    count(c.change) as attacked,
    count(*) filter (where c.crosses) as moved,
    count(*) filter (where t.success) as moved_by_track,
    round(median(c.change), 3) as median_change,
    round(max(c.change), 3) as largest_change,
    max(abs(s.score - s.reliability)) as worst_reliability
from scored s
left join sources c on c.object_id = s.object_id and c.origin = s.origin
left join track t on t.object_id = s.object_id and t.origin = s.origin
group by s.rb_class
order by s.rb_class
