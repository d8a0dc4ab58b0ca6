/** The slots of a peer, one cell each: one sees work land. */
const cellsMax = 64;

export function Slots({ running, slots }: { running: number; slots: number }) {
  const text = `${running} of ${slots} busy`;
  if (slots === 0) return <span class="quiet">takes no work</span>;
  return (
    <span class="line nowrap" title={text}>
      {slots > cellsMax ? <Meter share={running / slots} /> : <span class="cells" aria-hidden="true">{Array.from({ length: slots }, (_, at) => <i key={at} class={at < running ? 'on' : ''} />)}</span>}
      <span class="small quiet">
        {running}
        <span aria-hidden="true">/</span>
        <span class="sr"> of </span>
        {slots}
        <span class="sr"> slots busy</span>
      </span>
    </span>
  );
}

export const Meter = ({ share }: { share: number }) => (
  <span class="meter" aria-hidden="true">
    <i style={{ width: `${Math.round(Math.min(1, Math.max(0, share)) * 100)}%` }} />
  </span>
);
