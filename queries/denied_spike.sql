-- title: Spikes of rejected traffic
-- purpose: In which intervals far more was turned away than in the others: more than threshold standard deviations above
--   the mean of all other intervals that have a reject, where the deviation is taken as at least the square root of that
--   mean, by which counts vary by chance. A single interval has nothing to be compared with.
-- needs: flow_logs(action, srcaddr, start)
-- param: bucket duration = 5m "the length of an interval"
-- param: threshold float = 3 "how many standard deviations"
-- param: min_rejects int = 10 "fewer rejects are no spike"
-- origin: flowq
with counted as (
  select date_bin($bucket::interval, start) as time, count(*)::double as rejects, count(distinct srcaddr) as sources
  from flow_logs
  where action = 'REJECT' and ($from is null or start >= $from) and ($to is null or start < $to)
  group by 1
),
whole as (select count(*)::double as n, sum(rejects) as total, sum(rejects * rejects) as squares from counted),
others as (
  select time, rejects, sources, (total - rejects) / (n - 1) as mean,
    (squares - rejects * rejects) / (n - 1) as mean_square
  from counted cross join whole
  where n > 1
),
usual as (
  select time, rejects, sources, mean, greatest(sqrt(greatest(mean_square - mean * mean, 0)), sqrt(mean)) as deviation
  from others
)
select time, rejects::bigint as rejects, sources, round(mean, 1) as mean,
  round((rejects - mean) / deviation, 1) as deviations
from usual
where rejects >= $min_rejects and rejects > mean + $threshold::double * deviation
order by time
