import './sparkline.css';

interface SparklineProps {
  /** Oldest first; null is not known, and a gap. */
  readonly values: readonly (number | null)[];
  /** Top of the drawing, so that lines beside one another compare; absent: the largest of these. */
  readonly most?: number;
  readonly width?: number;
  readonly height?: number;
}

/** A line of a few words' length: the text beside it says the number, this says where it comes from. */
export function Sparkline({ values, most, width = 96, height = 18 }: SparklineProps) {
  const top = Math.max(most ?? Math.max(0, ...values.map(value => value ?? 0)), Number.MIN_VALUE);
  const x = (i: number) => ((i + 0.5) / values.length) * width;
  const y = (value: number) => height - 1.5 - Math.min(1, value / top) * (height - 3);
  let path = '';
  let pen = false;
  values.forEach((value, i) => {
    if (value !== null) path += `${pen ? 'L' : 'M'}${x(i).toFixed(1)} ${y(value).toFixed(1)}h.01`;
    pen = value !== null;
  });
  return (
    <svg className="sparkline" width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <path d={`M0 ${height - 0.5}H${width}`} className="ground" />
      {path !== '' && <path d={path} className="line" />}
    </svg>
  );
}
