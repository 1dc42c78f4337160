// Goes on counting what the server wrote: <time class="ago" data-idle="seconds">. Without it the page stays as it came.
(() => {
  "use strict";
  const loaded = performance.now();
  const times = [...document.querySelectorAll("time.ago")].map((time) => [time, Number(time.dataset.idle)]);

  // The words of `ago` in words.py.
  const words = (seconds) => {
    const whole = Math.floor(seconds);
    const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(whole / unit));
    if (whole < 1) return "just now";
    if (minutes < 1) return `${whole} s ago`;
    if (hours < 1) return `${minutes} min ${whole % 60} s ago`;
    if (days < 1) return `${hours} h ${minutes % 60} min ago`;
    return `${days} d ${hours % 24} h ago`;
  };

  const count = () => {
    const passed = (performance.now() - loaded) / 1000;
    for (const [time, idle] of times) time.textContent = words(idle + passed);
  };
  if (times.length > 0) setInterval(count, 1000);
})();
