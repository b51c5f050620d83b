-- format: json
select object_id, mag, da_class, da_probability from objects order by mag desc nulls last
