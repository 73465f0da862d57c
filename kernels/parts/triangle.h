// A point and a triangle: the angle that it fills, and how far it is.
#pragma once
#include "kernels/device/host_device.h"

namespace theta {

template <class T> struct Vec3 { T x, y, z; };
template <class T> THETA_HOST_DEVICE inline Vec3<T> operator-(Vec3<T> a, Vec3<T> b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z};
}
template <class T> THETA_HOST_DEVICE inline T dot(Vec3<T> a, Vec3<T> b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
template <class T> THETA_HOST_DEVICE inline Vec3<T> cross(Vec3<T> a, Vec3<T> b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
template <class T> THETA_HOST_DEVICE inline Vec3<T> along(Vec3<T> from, Vec3<T> way, T t) {
  return {from.x + t * way.x, from.y + t * way.y, from.z + t * way.z};
}

// The solid angle of triangle abc seen from the origin, above 0 where its corners go round counter-clockwise for one
// who stands outside (Van Oosterom & Strackee, 1983, eq. 8).
template <class T> THETA_HOST_DEVICE inline T solid_angle(Vec3<T> a, Vec3<T> b, Vec3<T> c) {
  const T la = std::sqrt(dot(a, a)), lb = std::sqrt(dot(b, b)), lc = std::sqrt(dot(c, c));
  const T over = dot(a, cross(b, c)), under = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb;
  return 2 * std::atan2(over, under);
}

// The squared distance of the origin to the segment from a along ab.
template <class T> THETA_HOST_DEVICE inline T squared_to_segment(Vec3<T> a, Vec3<T> ab) {
  const T length = dot(ab, ab);
  T t = length > 0 ? -dot(a, ab) / length : 0;
  t = t < 0 ? 0 : t > 1 ? 1 : t;
  const Vec3<T> nearest = along(a, ab, t);
  return dot(nearest, nearest);
}

// The squared distance of the origin to triangle abc: to its plane where the foot lies inside, else to a side.
template <class T> THETA_HOST_DEVICE inline T squared_distance(Vec3<T> a, Vec3<T> b, Vec3<T> c) {
  const Vec3<T> ab = b - a, bc = c - b, ca = a - c, normal = cross(ab, c - a);
  const bool inside =
      dot(cross(ab, normal), a) >= 0 && dot(cross(bc, normal), b) >= 0 && dot(cross(ca, normal), c) >= 0;
  const T area = dot(normal, normal);
  if (inside && area > 0) {
    const T height = dot(normal, a);
    return height * height / area;
  }
  const T d0 = squared_to_segment(a, ab), d1 = squared_to_segment(b, bc), d2 = squared_to_segment(c, ca);
  const T d = d0 < d1 ? d0 : d1;
  return d < d2 ? d : d2;
}

} // namespace theta
