-- title: Spikes of rejected traffic
-- purpose: In which intervals far more was turned away than usual: more than threshold standard deviations above the
--   mean of all intervals that have a reject.
-- needs: flow_logs(action, srcaddr, start)
-- param: bucket duration = 5m "the length of an interval"
-- param: threshold float = 3 "how many standard deviations"
-- param: min_rejects int = 10 "fewer rejects are no spike"
-- origin: flowq
with counted as (
  select date_bin($bucket::interval, start) as time, count(*) as rejects, count(distinct srcaddr) as sources
  from flow_logs
  where action = 'REJECT' and ($from is null or start >= $from) and ($to is null or start < $to)
  group by 1
),
usual as (select avg(rejects) as mean, coalesce(stddev_pop(rejects), 0) as deviation from counted)
select time, rejects, sources, round(mean, 1) as mean, round((rejects - mean) / nullif(deviation, 0), 1) as deviations
from counted cross join usual
where rejects >= $min_rejects and rejects > mean + $threshold::double * deviation
order by time
