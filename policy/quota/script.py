"""The one Lua script: every take of a batch in one call, on Redis' own clock.

KEYS: the key of each take. ARGV: the time (0: Redis' TIME), then for each group its number of
takes and for each of those algorithm, limit, window, burst, tick, amount. A group is charged whole
or not at all. Answers four integers a take: granted, remaining, reset, retry. A key holds its state
as a MessagePack list, which Lua reads ten times as fast as digits.
"""

from collections.abc import Iterable, Sequence

from policy.quota import ALGORITHMS
from policy.quota.base import Grant, Take

# A key outlives its use: should the clock of the server step, nothing is forgotten early.
SLACK_MS = 10_000

FUNCTIONS = "\n".join(
    f"TAKE['{name}'] = function(state, limit, window, burst, tick, amount, now){algorithm.lua}end"
    for name, algorithm in ALGORITHMS.items()
)

SCRIPT = f"""
local TAKE = {{}}
{FUNCTIONS}
local function numbers(packed)
  local read, state = pcall(cmsgpack.unpack, packed)
  if read and type(state) == 'table' then return state end
  return {{}}
end
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local answers, key, arg = {{}}, 1, 2
while arg <= #ARGV do
  local size = tonumber(ARGV[arg])
  arg = arg + 1
  local writes, all = {{}}, true
  for _ = 1, size do
    local old = redis.call('GET', KEYS[key])
    local amount = tonumber(ARGV[arg + 5])
    local granted, remaining, reset, retry, after = TAKE[ARGV[arg]](
      numbers(old), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3]),
      tonumber(ARGV[arg + 4]), amount, now)
    answers[#answers + 1] = granted
    answers[#answers + 1] = remaining
    answers[#answers + 1] = reset
    answers[#answers + 1] = retry
    local new = cmsgpack.pack(after)
    local write = {{KEYS[key], new, string.format('%.0f', math.ceil(reset / 1000) + {SLACK_MS})}}
    if granted == 0 then
      all = false
      if old and old ~= new then
        redis.call('SET', write[1], write[2], 'PX', write[3])
      end
    elseif amount > 0 then
      writes[#writes + 1] = write
    end
    key, arg = key + 1, arg + 6
  end
  if all then
    for _, write in ipairs(writes) do
      redis.call('SET', write[1], write[2], 'PX', write[3])
    end
  end
end
return answers
"""


def arguments(groups: Iterable[Sequence[Take]], now_us: int) -> tuple[list[str], list[str | int]]:
    """KEYS and ARGV."""
    keys: list[str] = []
    values: list[str | int] = [now_us]
    for group in groups:
        values.append(len(group))
        for key, quota, amount in group:
            keys.append(key)
            values += (
                quota.algorithm,
                quota.limit,
                quota.window_us,
                quota.burst,
                quota.tick_us,
                amount,
            )
    return keys, values


def grants(answers: Sequence[int], first: int, size: int) -> list[Grant]:
    """The grants of `size` takes, from the `first` take on."""
    return [
        Grant(bool(answers[at]), answers[at + 1], answers[at + 2], answers[at + 3])
        for at in range(4 * first, 4 * (first + size), 4)
    ]
