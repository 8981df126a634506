-- title: Flow logs that record the same twice
-- purpose: Which interfaces' flows are recorded by more than one flow log subscription, so that sums are too large: the
--   same flow, window and counts in more than one row.
-- needs: flow_logs(interface_id, srcaddr, dstaddr, srcport, dstport, protocol, packets, bytes, start, end, action)
-- param: limit int = 100 "how many rows"
-- origin: flowq
with repeated as (
  select interface_id, bytes, count(*) as copies
  from flow_logs
  where srcaddr is not null and ($from is null or start >= $from) and ($to is null or start < $to)
  group by interface_id, srcaddr, dstaddr, srcport, dstport, protocol, packets, bytes, start, "end", action
  having count(*) > 1
)
select interface_id, count(*) as flows, sum(copies - 1) as surplus_rows, sum(bytes * (copies - 1)) as surplus_bytes
from repeated
group by interface_id
order by surplus_rows desc, interface_id
limit $limit
