-- title: Rules open to everybody that somebody came through
-- purpose: Inbound rules of security groups for 0.0.0.0/0 or ::/0 with conversations that addresses of the internet began.
-- needs: rule_hits(layer, object_id, rule, direction, remote, internet_remotes, conversations, bytes, sole, interfaces, first_seen, last_seen)
-- param: limit int = 1000 "how many rows"
-- origin: flowq
select object_id, rule, interfaces, internet_remotes, conversations, bytes, sole, first_seen, last_seen
from rule_hits
where layer = 'security_group' and direction = 'ingress' and remote in ('0.0.0.0/0', '::/0') and internet_remotes > 0
  and ($from is null or observed_from >= $from) and ($to is null or observed_to < $to)
order by internet_remotes desc, conversations desc, object_id, rule
limit $limit
