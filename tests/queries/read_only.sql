select 1 as before;
drop table objects
