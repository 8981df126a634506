-- title: Port scans of one host
-- purpose: Which sources tried many ports of one address within an interval.
-- needs: flow_logs(srcaddr, dstaddr, dstport, protocol, action, start)
-- param: min_ports int = 20 "how many ports make a scan"
-- param: bucket duration = 10m "the length of an interval"
-- param: limit int = 100 "how many rows"
-- origin: flowq
select date_bin($bucket::interval, start) as time, srcaddr, dstaddr, count(distinct dstport) as ports,
  count(*) as flows, count(*) filter (where action = 'REJECT') as rejected
from flow_logs
where protocol in (6, 17) and ($from is null or start >= $from) and ($to is null or start < $to)
group by 1, srcaddr, dstaddr
having count(distinct dstport) >= $min_ports
order by ports desc, time, srcaddr, dstaddr
limit $limit
