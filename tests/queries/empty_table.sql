select * from rejects;
select count(*) as n from rejects
