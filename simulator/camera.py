"""Cameras: a scene and a pose in, RGB frames out. No GPU, no X server, no window.

Panda3D's software renderer draws all cameras of one `Renderer` into one tall buffer;
the graphics engine is used directly, without ShowBase, and the same scene gives the
same bits in every process.

    renderer = Renderer(scene, cameras=("center",))
    frame = renderer.render(Pose(x_m=0, y_m=0, z_m=0, heading_rad=0))["center"]

The poses of the three cameras are those of the Udacity car, measured on real frames.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from panda3d import core

from simulator import bonnet, car_body, looks, mesh, textures
from simulator.errors import Refusal, RenderingError

# Without ShowBase nobody collects Panda3D's cached states: 10 more with every frame.
core.loadPrcFileData(
    "",
    "audio-library-name null\nnotify-level-display error\n"
    "garbage-collect-states 0\ntransform-cache 0\n",
)

VERTICAL_FOV_DEG = 60.0  # of the Unity cameras
FRAME_SIZE = (320, 160)  # width, height
NEAR_M, FAR_M = 0.6, 480.0  # the nearest road in view is 2 m away
ROAD_NODE = "road"  # of what `light_road` lights
LAND_TEXTURES = ("ground", "leafage")
# A place is four floats, the last one 1: three take Panda3D a detour for each corner.
_VERTEX = np.dtype([("position", "<f4", 4), ("colour", "u1", 4), ("uv", "<f4", 2)])
_SENSORS, _CHASE = core.BitMask32.bit(1), core.BitMask32.bit(2)


@dataclass(frozen=True)
class Mounting:
    """Where a camera sits on the car, in car axes (x right, y forward, z up)."""

    x_m: float
    """Place to the right of the point of the road under the car's origin."""
    y_m: float
    """Place ahead of that point."""
    z_m: float
    """Height over that point."""
    yaw_deg: float
    """How far the camera is turned to the right."""
    pitch_deg: float
    """How far the camera looks up."""
    roll_deg: float
    """How far the right-hand side of the horizon is lowered."""


# Effective values: least squares on real frames of the bridge (0.6 px median residual);
# the car sits 1.7 degrees nose-up, which the pitch includes.
MOUNTINGS = {
    "left": Mounting(-0.806, 0.984, 1.25, 0.72, -7.75, 0.8),
    "center": Mounting(0.0, 1.0, 1.25, 0.72, -7.75, 0.8),
    "right": Mounting(0.825, 0.999, 1.25, 0.72, -7.75, 0.8),
    "chase": Mounting(0.0, -8.2, 3.2, 0.0, -10.0, 0.0),
}


@dataclass(frozen=True)
class Pose:
    """Where the car stands."""

    x_m: float
    """The car's origin on the ground, to the east."""
    y_m: float
    """The car's origin to the north."""
    z_m: float
    """The height of the car's origin."""
    heading_rad: float
    """The direction of the car's nose, counter-clockwise from east."""
    pitch_rad: float = 0.0
    """How far the nose is raised."""
    roll_rad: float = 0.0
    """How far the right-hand side is lowered."""

    def __post_init__(self) -> None:
        values = (self.x_m, self.y_m, self.z_m, self.heading_rad)
        if not all(map(math.isfinite, (*values, self.pitch_rad, self.roll_rad))):
            raise ValueError(f"{self} is not finite; has the car's state diverged?")


class Renderer:
    """Draws the frames of some cameras of one car in one scene.

    Only the cameras asked for are drawn. Frames of "left", "center" and "right" show
    the bonnet; those of "chase" show the car from behind.

    Args:
        scene: What there is to see.
        cameras: Keys of `MOUNTINGS`, at least one, each once.
        size: The (width, height) of each frame in pixels.

    Raises:
        RenderingError: If Panda3D's software renderer does not load.
        ValueError: If a camera is unknown or named twice, or the size is not positive.
    """

    def __init__(
        self,
        scene: mesh.Scene,
        cameras: Sequence[str] = ("center", "left", "right"),
        size: tuple[int, int] = FRAME_SIZE,
    ) -> None:
        _check_cameras(cameras, size)
        self.cameras, self.size = tuple(cameras), size
        self._engine = core.GraphicsEngine.getGlobalPtr()
        self._buffer = _make_buffer(self._engine, size[0], size[1] * len(cameras))
        self._pixels = core.Texture()
        self._buffer.addRenderTexture(self._pixels, core.GraphicsOutput.RTMCopyRam)
        self._root = core.NodePath("world")
        self._car = self._root.attachNewNode("car")
        self._sky = attach_scene(self._root, scene)
        self._optics, self._light = scene.optics, scene.light
        if "chase" in cameras:
            attach_body(self._car).hide(_SENSORS)
        for row, camera in enumerate(self.cameras):
            self._attach_camera(row, camera)
        self._overlays = {
            camera: bonnet.make_overlay(camera, size, scene.bonnet)
            for camera in self.cameras
            if camera in bonnet.PARTS and scene.bonnet is not None
        }

    def _attach_camera(self, row: int, camera: str) -> None:
        optics = mesh.USUAL_OPTICS if camera == "chase" else self._optics
        path = mount(camera, self._car, optics)
        path.node().setCameraMask(_CHASE if camera == "chase" else _SENSORS)
        aspect = self.size[0] / self.size[1]
        set_view(path.node().getLens(), aspect, optics.fov_gain)
        count = len(self.cameras)
        bottom, top = 1 - (row + 1) / count, 1 - row / count
        self._buffer.makeDisplayRegion(0, 1, bottom, top).setCamera(path)

    def render(self, pose: Pose) -> dict[str, np.ndarray]:
        """Return a new frame of each camera: uint8 RGB (height, width, 3)."""
        put_car(self._car, self._sky, pose)
        light_road(self._root, self._light, pose)
        # The engine is shared by the process and draws whatever is active.
        self._buffer.setActive(True)
        self._engine.renderFrame()
        self._buffer.setActive(False)
        return self._read()

    def _read(self) -> dict[str, np.ndarray]:
        width, height = self.size
        image = memoryview(self._pixels.getRamImage())
        # Panda3D keeps BGR(A) rows from the bottom up; cv2 turns them 10 times faster
        # than numpy's indexing does.
        shape = (height * len(self.cameras), width, -1)
        rows = np.frombuffer(image, np.uint8).reshape(shape)
        order = cv2.COLOR_BGRA2RGB if rows.shape[2] == 4 else cv2.COLOR_BGR2RGB
        stack = cv2.flip(cv2.cvtColor(rows, order), 0).reshape(-1, height, width, 3)
        frames = dict(zip(self.cameras, stack, strict=True))
        for camera, overlay in self._overlays.items():
            overlay.paint(frames[camera])
        return frames

    def close(self) -> None:
        """Give the buffer and the scene's geometry back; the renderer is done."""
        self._engine.removeWindow(self._buffer)
        self._root.removeNode()


def mount(
    camera: str, car: core.NodePath, optics: mesh.Optics = mesh.USUAL_OPTICS
) -> core.NodePath:
    """Attach a camera to the node of a car where `MOUNTINGS` has it, and return it."""
    lens, mounting = core.PerspectiveLens(), MOUNTINGS[camera]
    lens.setNearFar(NEAR_M, FAR_M)
    path = car.attachNewNode(core.Camera(camera, lens))
    path.setPos(mounting.x_m, mounting.y_m, mounting.z_m + optics.raised_m)
    yaw_deg = mounting.yaw_deg + optics.yaw_deg
    path.setHpr(-yaw_deg, mounting.pitch_deg + optics.pitch_deg, -mounting.roll_deg)
    return path


def set_view(lens: core.Lens, aspect: float, gain: float = 1.0) -> None:
    """Give a lens its field of view, in frames of this width over height.

    `gain` multiplies the tangent of half the usual angle.
    """
    tangent = gain * math.tan(math.radians(VERTICAL_FOV_DEG / 2))
    horizontal, vertical = math.atan(tangent * aspect), math.atan(tangent)
    lens.setFov(2 * math.degrees(horizontal), 2 * math.degrees(vertical))


def put_car(car: core.NodePath, sky: core.NodePath, pose: Pose) -> None:
    """Put a car's node where it stands; the sky goes with it."""
    place, heading_deg = (pose.x_m, pose.y_m, pose.z_m), math.degrees(pose.heading_rad)
    tilt_deg = (math.degrees(pose.pitch_rad), math.degrees(pose.roll_rad))
    car.setPosHpr(*place, heading_deg - 90, *tilt_deg)
    sky.setPos(*place)


def light_road(root: core.NodePath, light: looks.Light, pose: Pose) -> None:
    """Light the road of a scene as it is seen along the car's nose."""
    gain = light.seen_along(pose.heading_rad) / (1 + light.sheen)
    root.find(ROAD_NODE).setColorScale(*gain.tolist(), 1.0)


def _check_cameras(cameras: Sequence[str], size: tuple[int, int]) -> None:
    unknown = [camera for camera in cameras if camera not in MOUNTINGS]
    if unknown:
        known = ", ".join(MOUNTINGS)
        raise Refusal(f"no camera is called {unknown[0]!r}; there are: {known}")
    if not cameras or len(set(cameras)) != len(cameras):
        raise Refusal(f"cameras is {cameras!r}, expected one or more, each once")
    if min(size) < 1:
        raise Refusal(f"size is {size}, expected (width, height) in pixels, above 0")


def _make_buffer(
    engine: core.GraphicsEngine, width: int, height: int
) -> core.GraphicsOutput:
    """Return an offscreen buffer of the software renderer."""
    pipe = core.GraphicsPipeSelection.getGlobalPtr().makePipe(
        "TinyOffscreenGraphicsPipe", "p3tinydisplay"
    )
    if pipe is None:
        raise RenderingError(
            "Panda3D's software renderer (p3tinydisplay) does not load. On Linux it "
            "needs the system library libX11: sudo apt-get install libx11-6"
        )
    properties = core.FrameBufferProperties()
    properties.setRgbColor(True)
    properties.setRgbaBits(8, 8, 8, 0)
    properties.setDepthBits(16)
    size = core.WindowProperties.size(width, height)
    flags = core.GraphicsPipe.BFRefuseWindow
    buffer = engine.makeOutput(pipe, "cameras", 0, properties, size, flags)
    if buffer is None:
        raise RenderingError(f"Panda3D gave no offscreen buffer of {width}x{height} px")
    buffer.setActive(False)  # until `render`
    # Every pixel is drawn over: the sky reaches all around.
    buffer.setClearColorActive(False)
    buffer.setClearDepthActive(True)
    return buffer


def attach_scene(root: core.NodePath, scene: mesh.Scene) -> core.NodePath:
    """Attach the scene's meshes to `root` and return the node of the sky."""
    images = {name: _make_texture(name, a) for name, a in scene.textures.items()}
    sky = root.attachNewNode("sky")
    # The sky is always in view: do not cull it by bounds that move with the car.
    sky.node().setBounds(core.OmniBoundingVolume())
    sky.node().setFinal(True)
    road = root.attachNewNode(ROAD_NODE)
    for part in scene.meshes:
        parent = sky if part.layer == "sky" else root
        parent = road if part.texture == textures.SUNLIT_ROAD else parent
        if part.visible_m != mesh.EVERYWHERE:
            parent = _distance_switch(parent, part)
        _attach_mesh(parent, part, images.get(part.texture))
    return sky


def attach_body(car: core.NodePath) -> core.NodePath:
    """Attach the car's body to its node and return it."""
    body = _attach_mesh(car, car_body.car_mesh(), None)
    body.setTwoSided(True)
    return body


def _distance_switch(parent: core.NodePath, part: mesh.Mesh) -> core.NodePath:
    """Return a node that shows its child between the distances of `part`."""
    middle = (part.vertices.min(axis=0) + part.vertices.max(axis=0)) / 2
    nearest, farthest = part.visible_m
    switch = core.LODNode("distance")
    switch.addSwitch(min(farthest, 1e6), nearest)
    switch.setCenter(core.LPoint3(*map(float, middle)))
    return parent.attachNewNode(switch)


def _attach_mesh(
    parent: core.NodePath, part: mesh.Mesh, texture: core.Texture | None
) -> core.NodePath:
    """Attach a mesh with the drawing state that its layer asks for."""
    node = core.GeomNode(part.texture)
    node.addGeom(_make_geom(part))
    path = parent.attachNewNode(node)
    if texture is not None:
        path.setTexture(texture)
    if part.is_plain:
        path.setColor(1, 1, 1, 1)
    path.setBin("fixed", 10 * mesh.LAYERS.index(part.layer))
    if part.layer == "props":
        path.setTransparency(core.TransparencyAttrib.MBinary)
        path.setTwoSided(True)
    elif part.layer == "decal":
        path.setTransparency(core.TransparencyAttrib.MAlpha)
        path.setDepthWrite(False)
        path.setDepthOffset(1)
        path.setTwoSided(True)
    elif part.layer == "sky":
        path.setDepthWrite(False)
        path.setTwoSided(True)
    return path


def _make_geom(part: mesh.Mesh) -> core.Geom:
    """Copy a mesh into Panda3D's buffers."""
    vertices = np.zeros(len(part.vertices), _VERTEX)
    vertices["position"][:, :3], vertices["uv"] = part.vertices, part.uv
    vertices["position"][:, 3], vertices["colour"] = 1, part.colours
    layout = _vertex_layout()
    data = core.GeomVertexData("", layout, core.Geom.UHStatic)
    data.uncleanSetNumRows(len(vertices))
    data.modifyArrayHandle(0).copyDataFrom(vertices.tobytes())
    triangles = core.GeomTriangles(core.Geom.UHStatic)
    triangles.setIndexType(core.Geom.NTUint32)
    index = triangles.modifyVertices()
    index.uncleanSetNumRows(part.triangles.size)
    index.modifyHandle().copyDataFrom(part.triangles.astype(np.uint32).tobytes())
    geom = core.Geom(data)
    geom.addPrimitive(triangles)
    return geom


def _vertex_layout() -> core.GeomVertexFormat:
    """Return what `_VERTEX` is in Panda3D's words."""
    array, kinds = core.GeomVertexArrayFormat(), core.Geom
    array.addColumn("vertex", 4, kinds.NTFloat32, kinds.CPoint)
    array.addColumn("color", 4, kinds.NTUint8, kinds.CColor)
    array.addColumn("texcoord", 2, kinds.NTFloat32, kinds.CTexcoord)
    return core.GeomVertexFormat.registerFormat(core.GeomVertexFormat(array))


def _make_texture(name: str, image: np.ndarray) -> core.Texture:
    """Copy an RGB or RGBA image into a texture.

    Cut-out textures are not filtered: blended edges would fall under the cut. The
    land's are not smoothed where they are far away: real frames show hills and cliffs
    as sharp as what is near.
    """
    cut_out = image.shape[2] == 4
    texture = core.Texture(name)
    (height, width), kind = image.shape[:2], core.Texture.TUnsignedByte
    layout = core.Texture.FRgba if cut_out else core.Texture.FRgb
    texture.setup2dTexture(width, height, kind, layout)
    bgr = image[::-1, :, (2, 1, 0, 3)] if cut_out else image[::-1, :, ::-1]
    texture.setRamImage(np.ascontiguousarray(bgr).tobytes())
    sampler = core.SamplerState
    nearest = (sampler.FTNearest, sampler.FTNearest)
    smooth = (sampler.FTLinearMipmapLinear, sampler.FTLinear)
    smallest, largest = nearest if cut_out else smooth
    if name in LAND_TEXTURES:
        smallest = sampler.FTNearest
    texture.setMinfilter(smallest)
    texture.setMagfilter(largest)
    return texture
