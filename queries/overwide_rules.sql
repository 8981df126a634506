-- title: Rules wider than their use
-- purpose: Rules of security groups that were used, by few of the ports that they open or by few addresses of a wide block.
--   flowq rules tighten proposes narrower ones.
-- needs: rule_hits(layer, object_id, rule, remote, conversations, ports, remotes, from_port, to_port, protocol)
-- param: factor float = 10 "so many times more ports open than used"
-- param: few int = 10 "so many remote addresses are few"
-- param: widest int = 24 "a block with a prefix of at most so many bits is wide"
-- param: limit int = 1000 "how many rows"
-- origin: flowq
select object_id, direction, rule, ports_open, ports as ports_used, remote, remotes as remotes_used, conversations, bytes, reason
from (
  select *,
    case
      when ports_open > $factor * ports and wide and remotes <= $few then 'few of its ports and few of its addresses'
      when ports_open > $factor * ports then 'few of its ports'
      when wide and remotes <= $few then 'few of its addresses'
    end as reason
  from (
    select *,
      -- Without a protocol every port of TCP and of UDP is open, at the least.
      case when from_port is not null then to_port - from_port + 1 when protocol is null then 2 * 65536 end as ports_open,
      regexp_like(remote, '^[0-9a-fA-F.:]+/[0-9]+$') and try_cast(split_part(remote, '/', 2) as int) <= $widest as wide
    from rule_hits
    where layer = 'security_group' and conversations > 0
      and ($from is null or observed_from >= $from) and ($to is null or observed_to < $to)
  )
)
where reason is not null
order by ports_open desc nulls last, remotes, conversations desc, object_id, direction desc, rule
limit $limit
