-- format: csv
select object_id, mag, da_class, da_probability from objects where mag is null or mag > 19;
select reason from rejects
