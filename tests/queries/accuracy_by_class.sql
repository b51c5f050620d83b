select label, count(*) as n, avg(cast(label = da_class as double)) as accuracy
from objects where label is not null group by label order by label
