-- title: Port scans of one host
-- purpose: Which sources tried many ports of one address within an interval. The answers of a server to many ports of
--   a client are left out: by the flags where the logs have them, else by the ports, the lower of which is the server's.
--   Intervals begin at full multiples of their length: a scan across two of them counts in each by itself.
-- needs: flow_logs(srcaddr, dstaddr, srcport, dstport, protocol, action, tcp_flags, start)
-- param: min_ports int = 20 "how many ports make a scan"
-- param: bucket duration = 10m "the length of an interval"
-- param: limit int = 100 "how many rows"
-- origin: flowq
select date_bin($bucket::interval, start) as time, srcaddr, dstaddr, count(distinct dstport) as ports,
  count(*) as flows, count(*) filter (where action = 'REJECT') as rejected
from flow_logs
where protocol in (6, 17) and ($from is null or start >= $from) and ($to is null or start < $to)
  and case
    when protocol = 6 and (tcp_flags & 18) = 18 then false
    when protocol = 6 and (tcp_flags & 2) = 2 then true
    when action = 'REJECT' then srcport >= 1024 or dstport < 32768
    else srcport >= dstport
  end
group by 1, srcaddr, dstaddr
having count(distinct dstport) >= $min_ports
order by ports desc, time, srcaddr, dstaddr
limit $limit
