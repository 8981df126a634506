-- title: Hits on a list of bad addresses
-- purpose: What was exchanged with addresses of a list, in either direction, and whether it was let through.
-- needs: flow_logs(srcaddr, dstaddr, dstport, protocol, action, bytes, start, end)
-- param: indicators address[] "the addresses"
-- param: limit int = 1000 "how many rows"
-- origin: flowq
select case when array_has($indicators::text[], srcaddr) then srcaddr else dstaddr end as indicator, srcaddr, dstaddr,
  dstport, protocol_name(protocol) as protocol, action, count(*) as flows, sum(bytes) as bytes,
  min(start) as first_seen, max("end") as last_seen
from flow_logs
where (array_has($indicators::text[], srcaddr) or array_has($indicators::text[], dstaddr)) and ($from is null or start >= $from) and ($to is null or start < $to)
group by srcaddr, dstaddr, dstport, protocol, action
order by action, bytes desc, srcaddr, dstaddr, dstport, protocol
limit $limit
