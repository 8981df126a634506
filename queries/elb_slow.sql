-- title: Slow requests
-- purpose: Which requests took longest, and in which part. Parts logged as -1 (no answer, or not sent on) do not count.
-- needs: alb_logs(time, elb, request_processing_time, target_processing_time, response_processing_time, request_url)
-- param: min_seconds float = 1 "from how many seconds on"
-- param: limit int = 100 "how many rows"
-- origin: flowq
select time, elb, client_ip, target_ip, request_verb, request_url, elb_status_code,
  greatest(request_processing_time, 0) + greatest(target_processing_time, 0)
    + greatest(response_processing_time, 0) as seconds,
  request_processing_time, target_processing_time, response_processing_time
from alb_logs
where greatest(request_processing_time, 0) + greatest(target_processing_time, 0)
    + greatest(response_processing_time, 0) >= $min_seconds::double
  and ($from is null or time >= $from) and ($to is null or time < $to)
order by seconds desc, time, source_file, source_line
limit $limit
