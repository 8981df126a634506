-- title: Traffic of one address
-- purpose: Every record in which an address is source or destination, newest first.
-- needs: flow_logs(srcaddr, dstaddr, srcport, dstport, protocol, action, bytes, packets, start, end, interface_id)
-- param: address address "the address"
-- param: limit int = 1000 "how many rows"
-- origin: flowq
select start, "end", interface_id, srcaddr, srcport, dstaddr, dstport, protocol_name(protocol) as protocol, action,
  packets, bytes
from flow_logs
where (srcaddr = $address or dstaddr = $address) and ($from is null or start >= $from) and ($to is null or start < $to)
order by start desc, srcaddr, dstaddr, srcport, dstport, interface_id, source_file, source_line
limit $limit
