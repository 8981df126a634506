-- title: Packets of connections that had ended
-- purpose: Rejected packets after a close or an idle timeout; no rule is at fault, keepalives help against timeouts.
-- needs: reject_attribution(interface_id, srcaddr, dstaddr, dstport, protocol, verdict, reason_code, confidence, packets, start, end)
-- param: limit int = 100 "how many rows"
-- origin: flowq
select interface_id, srcaddr, dstaddr, dstport, protocol_name(protocol) as protocol, reason_code, confidence, count(*) as flows,
  sum(packets) as packets, min(start) as first_seen, max("end") as last_seen
from reject_attribution
where verdict = 'STALE_CONNECTION' and ($from is null or start >= $from) and ($to is null or start < $to)
group by interface_id, srcaddr, dstaddr, dstport, protocol, reason_code, confidence
order by flows desc, interface_id, srcaddr, dstaddr, dstport, protocol, reason_code, confidence
limit $limit
