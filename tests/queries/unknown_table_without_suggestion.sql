with named as (select 1 as a) select * from named, nowhere
