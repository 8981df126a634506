-- title: Load balancer requests over time
-- purpose: How many requests the application load balancers answered in each interval, and how.
-- needs: alb_logs(time, elb, elb_status_code, received_bytes, sent_bytes)
-- param: bucket duration = 5m "the length of an interval"
-- origin: flowq
select date_bin($bucket::interval, time) as time, elb, count(*) as requests,
  count(*) filter (where elb_status_code between 400 and 499) as errors_4xx,
  count(*) filter (where elb_status_code between 500 and 599) as errors_5xx,
  sum(received_bytes) as received_bytes, sum(sent_bytes) as sent_bytes
from alb_logs
where ($from is null or time >= $from) and ($to is null or time < $to)
group by date_bin($bucket::interval, time), elb
order by 1, 2
