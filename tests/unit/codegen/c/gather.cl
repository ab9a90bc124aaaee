/* sched map { loops = grid e/2048, warp e/256, lane e/8; tile = v4 } */
#pragma OPENCL FP_CONTRACT OFF
#define EACH(v, n) _Pragma("unroll") for (int v = 0; v < n; v++)
typedef struct { float v[4]; } __attribute__((aligned(16))) f32x4;
static inline long min_i64(long a, long b) { return a < b || a != a ? a : b; }
static inline long max_i64(long a, long b) { return a > b || a != a ? a : b; }

__kernel __attribute__((reqd_work_group_size(32, 8, 1))) void
gather_e85636e5(const __global float *restrict x, const __global long *ids, __global float *y, int B)
{
  const int lane = (int)get_local_id(0);
  const int warp = (int)get_local_id(1);
  const int e = (int)get_group_id(0);
  const int q = (e*2 + warp)/3;
  const int r = (e*2 + warp) % 3;
  if (B*98304 >= e*2048 + warp*256 + lane*8 + 1) {
    const f32x4 x1 = *(const __global f32x4 *)(x + max_i64(min_i64((long)ids[e*2 + q], 30521), 0)*768 + r*256 + lane*8);
    *(__global f32x4 *)(y + e*2048 + warp*256 + lane*8) = x1;
  }
  if (B*98304 >= e*2048 + warp*256 + lane*8 + 5) {
    const f32x4 x2 = *(const __global f32x4 *)(x + max_i64(min_i64((long)ids[e*2 + q], 30521), 0)*768 + r*256 + lane*8 + 4);
    *(__global f32x4 *)(y + e*2048 + warp*256 + lane*8 + 4) = x2;
  }
}
