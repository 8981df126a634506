-- title: Rejected traffic by port
-- purpose: Which destination ports are turned away most, and from how many sources.
-- needs: flow_logs(srcaddr, dstport, protocol, action, packets, start)
-- param: limit int = 20 "how many rows"
-- origin: flowq
select dstport, protocol_name(protocol) as protocol, service_name(dstport, protocol) as service, count(*) as flows,
  sum(packets) as packets, count(distinct srcaddr) as sources
from flow_logs
where action = 'REJECT' and ($from is null or start >= $from) and ($to is null or start < $to)
group by dstport, protocol_name(protocol), service_name(dstport, protocol)
order by flows desc, dstport, protocol
limit $limit
