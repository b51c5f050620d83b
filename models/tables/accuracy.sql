-- Accuracy, and precision, recall and F1 weighted by class support, on the test part: mean and standard deviation over seeds.
select
    split_part(run, '-', 1) as network,
    split_part(run, '-', 2) as training,
    score as domain,
    count(*) as seeds,
    max(n) as galaxies,
    avg(accuracy) as accuracy,
    stddev(accuracy) as accuracy_spread,
    min(accuracy_low) as low_95,
    max(accuracy_high) as high_95,
    avg(precision) as precision,
    avg(recall) as recall,
    avg(f1) as f1
from accuracy
where scope = 'total' and class = 'all'
group by network, training, domain
order by network, training, domain desc
