-- How many galaxies of each class were called what, over all seeds.
select
    split_part(run, '-', 1) as network,
    split_part(run, '-', 2) as training,
    score as domain,
    class as truth,
    count(distinct run) as seeds,
    sum(n) as galaxies,
    sum(confusion[1]) as called_spiral,
    sum(confusion[2]) as called_elliptical,
    sum(confusion[3]) as called_merger,
    avg(precision) as precision,
    avg(recall) as recall,
    avg(f1) as f1
from accuracy
where scope = 'total' and class <> 'all'
group by network, training, domain, truth
order by network, training, domain desc, truth
