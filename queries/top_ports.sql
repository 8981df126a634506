-- title: Top service ports
-- purpose: Which services move the most bytes, requests and replies together. The lower port of a record is taken for
--   the service's.
-- needs: flow_logs(srcport, dstport, protocol, bytes, packets, start)
-- param: limit int = 20 "how many rows"
-- origin: flowq
select least(srcport, dstport) as port, protocol_name(protocol) as protocol,
  service_name(least(srcport, dstport), protocol) as service, count(*) as flows, sum(packets) as packets,
  sum(bytes) as bytes
from flow_logs
where protocol in (6, 17) and ($from is null or start >= $from) and ($to is null or start < $to)
group by least(srcport, dstport), protocol
order by bytes desc, port, protocol
limit $limit
