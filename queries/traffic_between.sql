-- title: Traffic between two networks
-- purpose: What two addresses or networks sent each other, in both directions, by port and action.
-- needs: flow_logs(srcaddr, dstaddr, dstport, protocol, action, bytes, packets, start, end)
-- param: a cidr "one side"
-- param: b cidr "the other side"
-- param: limit int = 100 "how many rows"
-- origin: flowq
select srcaddr, dstaddr, dstport, protocol_name(protocol) as protocol, action, count(*) as flows,
  sum(packets) as packets, sum(bytes) as bytes, min(start) as first_seen, max("end") as last_seen
from flow_logs
where ((cidr_contains($a::text, srcaddr) and cidr_contains($b::text, dstaddr))
    or (cidr_contains($b::text, srcaddr) and cidr_contains($a::text, dstaddr)))
  and ($from is null or start >= $from) and ($to is null or start < $to)
group by srcaddr, dstaddr, dstport, protocol, action
order by bytes desc, srcaddr, dstaddr, dstport, protocol, action
limit $limit
