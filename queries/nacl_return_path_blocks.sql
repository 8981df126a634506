-- title: Answers that a network ACL drops
-- purpose: Responses of accepted flows which the network ACL of the answering side has no rule for, mostly ephemeral ports.
-- needs: reject_attribution(interface_id, direction, srcaddr, srcport, dstaddr, verdict, nacl_id, nacl_rule_number, confidence, packets, start, end)
-- param: limit int = 100 "how many rows"
-- origin: flowq
select interface_id, direction, srcaddr, srcport, protocol_name(protocol) as protocol, nacl_id, nacl_rule_number, confidence,
  count(distinct dstaddr) as remotes, count(*) as flows, sum(packets) as packets, min(start) as first_seen, max("end") as last_seen
from reject_attribution
where verdict = 'NACL'
  -- With flags a SYN-ACK answers, a SYN begins, and only what follows goes by the ports; answers go to ports above 1023.
  and case
    when tcp_flags & 18 = 18 then dstport >= 1024
    when tcp_flags & 18 = 2 then false
    when reason_code = 'RESPONSE_OF_ACCEPTED_FLOW' then dstport >= 1024
    else srcport < dstport and dstport >= 1024
  end
  and reason_code in ('RESPONSE_OF_ACCEPTED_FLOW', 'NACL_DEFAULT_DENY', 'NACL_EXPLICIT_DENY')
  and ($from is null or start >= $from) and ($to is null or start < $to)
group by interface_id, direction, srcaddr, srcport, protocol, nacl_id, nacl_rule_number, confidence
order by flows desc, interface_id, direction, srcaddr, srcport, protocol, nacl_id, nacl_rule_number, confidence
limit $limit
