-- title: Traffic by protocol
-- purpose: How traffic divides among IP protocols.
-- needs: flow_logs(protocol, bytes, packets, start)
-- origin: flowq
select protocol, protocol_name(protocol) as name, count(*) as flows, sum(packets) as packets, sum(bytes) as bytes,
  round(100.0 * sum(bytes) / nullif(sum(sum(bytes)) over (), 0), 1) as percent_of_bytes
from flow_logs
where protocol is not null and ($from is null or start >= $from) and ($to is null or start < $to)
group by protocol
order by bytes desc, protocol
