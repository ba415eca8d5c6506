// Amounts as people read them: the same words as in the text report.

const MINUTE = 60, HOUR = 3600, DAY = 86400;

function duration(seconds) {
  if (typeof seconds !== "number" || !(seconds >= 0)) return "?";
  if (seconds < 0.9995) return `${(seconds * 1e3).toFixed(0)}ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < MINUTE) return `${whole}s`;
  if (whole > 365 * DAY) return "over a year";
  const [large, name, small, smallName] =
    whole < HOUR ? [MINUTE, "m", 1, "s"] : whole < DAY ? [HOUR, "h", MINUTE, "m"] : [DAY, "d", HOUR, "h"];
  const rest = Math.floor((whole % large) / small);
  return `${Math.floor(whole / large)}${name}` + (rest ? ` ${rest}${smallName}` : "");
}

function bytes(count) {
  if (!(count >= 10240)) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count / 1024, unit = 0;
  while (value >= 1023.95 && unit + 1 < units.length) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** Growth in the unit that gives a number one can read. */
function growth(perSecond) {
  const [value, unit] = perSecond >= 1 ? [perSecond, "s"]
    : perSecond * MINUTE >= 1 ? [perSecond * MINUTE, "min"]
    : perSecond * HOUR >= 0.05 ? [perSecond * HOUR, "h"] : [0, ""];
  if (!value) return "not growing";
  return `+${value < 9.95 ? value.toFixed(1) : value.toFixed(0)}/${unit}`;
}

const number = (count) => (typeof count === "number" ? count.toLocaleString("en-US").replaceAll(",", "\u202f") : "?");

const counted = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);

/** RLIM_INFINITY, as far as a double can tell. */
const unlimited = (limit) => limit >= 2 ** 63;

/** An amount of what a limit bounds. */
const ofLimit = (resource, amount) => (resource === "memory" ? bytes(amount) : number(amount));

const baseName = (path) => path.slice(path.lastIndexOf("/") + 1);
