-- title: Rules that nothing used
-- purpose: Rules without a hit, each with the window and how well it was observed. The verdict is unused only where the
--   logs span long enough, and the interfaces that the rule filters were logged in enough of that; else there is not enough
--   evidence. A week is the least, since what runs at night or at the weekend shows within one; give more where something
--   runs once a month.
-- needs: rule_hits(layer, object_id, rule, conversations, possible, interfaces, interfaces_seen, interfaces_complete, coverage, action_logged)
-- param: min_coverage float = 0.9 "share of the window in which the rule's interfaces must have been logged"
-- param: min_window duration = 7d "the least time that the logs must span"
-- param: limit int = 1000 "how many rows"
-- origin: flowq
select verdict, layer, object_id, direction, rule, reason, interfaces, interfaces_seen, coverage_percent, observed_from, observed_to
from (
  select *, round(100 * coverage, 1) as coverage_percent,
    case when untracked_answers > 0 then 'needed by answers'
      when reason is null or (interfaces = 0 and interfaces_complete and observed_from is not null)
      then 'unused' else 'not enough evidence' end as verdict
  from (
    select *,
      case
        when observed_from is null then 'the logs hold no record'
        when untracked_answers > 0 then 'the answers of ' || untracked_answers || ' conversations pass by it, which groups do not track'
        when not interfaces_complete and (interfaces = 0 or interfaces_seen = 0)
          then 'the configuration may lack interfaces of it (describe-network-interfaces of all that is logged)'
        when interfaces = 0 and layer = 'security_group' then 'no interface carries the group'
        when interfaces = 0 then 'no interface is in a subnet that uses the list'
        when possible > 0 then 'it may have matched ' || possible || ' conversations'
        when unexplained > 0 then 'no rule given explains ' || unexplained || ' accepted conversations of its traffic'
        when interfaces_seen = 0 then 'none of its interfaces is in the logs'
        when not action_logged and action = 'deny' then 'the logs of its VPC hold no REJECT'
        when not action_logged then 'the logs of its VPC hold no ACCEPT'
        when observed_from + $min_window > observed_to then 'it was observed for only ' || case
          when to_unixtime(observed_to) - to_unixtime(observed_from) < 7200
            then round((to_unixtime(observed_to) - to_unixtime(observed_from)) / 60.0, 1) || ' minutes'
          when to_unixtime(observed_to) - to_unixtime(observed_from) < 172800
            then round((to_unixtime(observed_to) - to_unixtime(observed_from)) / 3600.0, 1) || ' hours'
          else round((to_unixtime(observed_to) - to_unixtime(observed_from)) / 86400.0, 1) || ' days' end
        when coverage < $min_coverage then 'its interfaces were logged in ' || round(100 * coverage, 1) || ' % of the window'
      end as reason
    from rule_hits
    -- What is gone cannot be removed, nor can the denies that close each list.
    where conversations = 0 and current and coalesce(rule_number, 0) < 32767
      and ($from is null or observed_from >= $from) and ($to is null or observed_to < $to)
  )
)
order by verdict desc, layer desc, object_id, direction desc, rule_number, rule
limit $limit
