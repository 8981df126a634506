-- title: Scans of many hosts for one port
-- purpose: Which sources tried one port of many addresses within an interval.
--   Intervals begin at full multiples of their length: a scan across two of them counts in each by itself.
-- needs: flow_logs(srcaddr, dstaddr, dstport, protocol, action, start)
-- param: min_hosts int = 20 "how many addresses make a scan"
-- param: bucket duration = 10m "the length of an interval"
-- param: limit int = 100 "how many rows"
-- origin: flowq
select date_bin($bucket::interval, start) as time, srcaddr, dstport, protocol_name(protocol) as protocol,
  count(distinct dstaddr) as hosts, count(*) as flows, count(*) filter (where action = 'REJECT') as rejected
from flow_logs
where protocol in (6, 17) and ($from is null or start >= $from) and ($to is null or start < $to)
group by 1, srcaddr, dstport, protocol
having count(distinct dstaddr) >= $min_hosts
order by hosts desc, time, srcaddr, dstport, protocol
limit $limit
