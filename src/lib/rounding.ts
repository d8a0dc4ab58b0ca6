/** To a thousandth: what people read of a measurement, without the noise of floating point. */
export const thousandths = (value: number): number => Math.round(value * 1000) / 1000;
