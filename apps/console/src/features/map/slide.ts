const SLIDE_MS = 250;

/** Moves a copy of the leader's mark from the old cell to the new one; a cell out of sight or reduced motion moves nothing. */
export function slideLeader(grid: HTMLElement, partitionId: number, from: number, to: number): void {
  if (
    window.matchMedia('(prefers-reduced-motion: reduce)').matches ||
    document.documentElement.getAttribute('data-motion') === 'reduced'
  )
    return;
  const cell = (nodeId: number) => grid.querySelector<HTMLElement>(`[data-p="${partitionId}"][data-n="${nodeId}"]`);
  const start = cell(from)?.getBoundingClientRect();
  const end = cell(to)?.getBoundingClientRect();
  if (start === undefined || end === undefined) return;
  const ghost = document.createElement('div');
  ghost.className = 'cell ghost';
  ghost.setAttribute('aria-hidden', 'true');
  ghost.style.cssText = `left:${start.left}px;top:${start.top}px;width:${start.width}px;height:${start.height}px`;
  document.body.append(ghost);
  const move = `translate(${end.left - start.left}px, ${end.top - start.top}px)`;
  const animation = ghost.animate([{ transform: 'none' }, { transform: move }], { duration: SLIDE_MS, easing: 'ease-out' });
  animation.onfinish = () => ghost.remove();
  animation.oncancel = () => ghost.remove();
}
