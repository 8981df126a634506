-- title: Rejected traffic by port
-- purpose: Which destination ports are turned away most, and from how many sources.
-- needs: flow_logs(srcaddr, dstport, protocol, action, packets, start)
-- param: limit int = 20 "how many rows"
-- origin: flowq
with reached as (
  select dstport, protocol_name(protocol) as protocol, service_name(dstport, protocol) as service, srcaddr,
    count(*) as flows, sum(packets) as packets
  from flow_logs
  where action = 'REJECT' and ($from is null or start >= $from) and ($to is null or start < $to)
  group by 1, 2, 3, srcaddr
)
select dstport, protocol, service, sum(flows) as flows, sum(packets) as packets, count(srcaddr) as sources
from reached
group by dstport, protocol, service
order by flows desc, dstport, protocol, service
limit $limit
