-- title: Coverage of the flow logs
-- purpose: For which interfaces and days there are records at all, and how many windows were empty or skipped.
-- needs: flow_logs(event_date, account_id, interface_id, log_status, start, end)
-- origin: flowq
select event_date, account_id, interface_id, count(*) filter (where log_status = 'OK') as records,
  count(*) filter (where log_status = 'NODATA') as nodata, count(*) filter (where log_status = 'SKIPDATA') as skipdata,
  min(start) as first_seen, max("end") as last_seen
from flow_logs
where ($from is null or start >= $from) and ($to is null or start < $to)
group by event_date, account_id, interface_id
order by event_date, account_id, interface_id
