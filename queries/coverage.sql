-- title: Coverage of the flow logs
-- purpose: For which interfaces and days there are records at all, and how many windows were empty or skipped. Where the
--   logs have no log-status, rows with an address, a port, a count or an action are records.
-- needs: flow_logs(event_date, account_id, interface_id, log_status, srcaddr, dstaddr, srcport, dstport, packets, bytes,
--   action, start, end)
-- origin: flowq
select event_date, account_id, interface_id,
  count(*) filter (where log_status = 'OK' or (log_status is null and (
    coalesce(srcaddr, dstaddr, action) is not null or coalesce(srcport, dstport, packets, bytes) is not null))) as records,
  count(*) filter (where log_status = 'NODATA') as nodata, count(*) filter (where log_status = 'SKIPDATA') as skipdata,
  min(start) as first_seen, max("end") as last_seen
from flow_logs
where ($from is null or start >= $from) and ($to is null or start < $to)
group by event_date, account_id, interface_id
order by event_date, account_id, interface_id
