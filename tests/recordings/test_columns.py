"""The right column or none: headers as people and tools write them."""

import pytest

from recordings.columns import AmbiguousHeaderError, columns_of, named_columns
from recordings.log import read_log

STOCK = "center left right steering throttle brake speed".split()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("center,left,right,steering,throttle,brake,speed", STOCK),
        ("Center,Left,Right,SteeringAngle,Throttle,Brake,Speed", STOCK),
        ("CENTER_IMAGE;LEFT_IMAGE;RIGHT_IMAGE;STEERING;THROTTLE;BRAKE;SPEED", STOCK),
        ("image_center,image_left,image_right,steer,accel,reverse,velocity", STOCK),
        ("centercam,leftcam,rightcam,steering_angle,throttle,reverse,speed", STOCK),
        ("img_path,left_path,right_path,angle,gas,brake,speed (mph)", STOCK),
        ("Mitte;Links;Rechts;Lenkung;Gas;Bremse;Geschwindigkeit", STOCK),
        ("bild,links,rechts,Lenkwinkel,gas,bremse,geschwindigkeit", STOCK),
        ("centre,gauche,droite,braquage,accélérateur,frein,vitesse", STOCK),
        ("imagen,izquierda,derecha,dirección,acelerador,freno,velocidad", STOCK),
        ("immagine,sinistra,destra,sterzo,acceleratore,freno,velocità", STOCK),
        ("imagem,esquerda,direita,direção,acelerador,freio,velocidade", STOCK),
        ("orta,sol,sağ,direksiyon,gaz,fren,h\N{LATIN SMALL LETTER DOTLESS I}z", STOCK),
        ("центр,слева,справа,руль,газ,тормоз,скорость", STOCK),
        ("中,左,右,转向,油门,刹车,速度", STOCK),
        ("index,,timestamp,frame_id,filename,angle,torque,speed", ".,.,.,.,c,a,.,s"),
        ("center,steeringAngle,leftSteeringAngle,rightSteeringAngle", "c,a,.,."),
        ("center,left_steering_angle,steering,right_steering_angle", "c,.,a,."),
        ("center,left,right,steering,throttle,brake,speed,predicted_steering", None),
        ("center,left,right,predicted_steering,steering,throttle,brake,speed", None),
        ("center,steering,steering_deg", "c,a,."),
        ("center,steering_deg,steering", "c,.,a"),
        ("center,pitch_angle,roll_angle,yaw_angle,steering_angle", "c,.,.,.,a"),
        ("center,steering,speed_limit,speed", "c,a,.,s"),
        ("center,steering,maxSpeed,speed", "c,a,.,s"),
        ("center,steering,velocity_x,velocity_y,velocity_z,speed", "c,a,.,.,.,s"),
        ("center,steering,velocityX,velocityY", "c,a,.,."),
        ("center,steering,acceleration_x,acceleration_y,throttle", "c,a,.,.,t"),
        ("center,steering,lateral_acceleration,throttle", "c,a,.,t"),
        ("center,steering_target,steering", "c,.,a"),
        ("center,steering,steering_std,steering_mean", "c,a,.,."),
        ("image_id,image_path,steering", ".,c,a"),
        ("center,steering,speed,target_speed,mean_speed", "c,a,s,.,."),
        ("center,steering,brake_pressure,brake", "c,a,.,b"),
        ("center,my_steering_value", "c,a"),
        ("center,steering_torque,throttle", "c,.,t"),
        ("center,steering_wheel_speed,speed", "c,.,s"),
        ("center,throttle_angle,camera_angle,throttle", "c,.,.,t"),
        ("center,yawangle,rectangle,steer", "c,.,.,a"),
        ("center,steeringpredicted,steering_hat,nn_steering", "c,.,.,."),
        ("center,steering,engine_speed,wind_speed", "c,a,.,."),
        ("center,autopilot_steering,human_steering", "c,.,a"),
        ("center,steering_position,throttle_percent,vehicle_speed", "c,a,t,s"),
        ("mitte,Lenkung in Grad,km/h Geschwindigkeit", "c,a,s"),
        ("centro,ángulo de dirección,velocidad", "c,a,s"),
        ("중앙,조향각,스로틀,속도", "c,a,t,s"),
        ("time,x,y,heading", ".,.,.,."),
    ],
)
def test_each_column_is_the_right_one_or_none(header, expected):
    cells = header.replace(";", ",").split(",")
    short = {"c": "center", "a": "steering", "t": "throttle", "b": "brake"}
    short |= {"s": "speed", ".": ""}
    if expected is None:
        expected = [cell if cell in STOCK else "" for cell in cells]
    elif isinstance(expected, str):
        expected = [short[mark] for mark in expected.split(",")]
    assert columns_of(cells) == expected


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("center,steering,steering", "is the steering 'steering' or 'steering'"),
        ("center,steer,steering_angle", "is the steering 'steer' or 'steering_angle'"),
        ("center,steering_in,steering_out", "'steering_in' or 'steering_out'"),
        ("image,file,steering", "is the center 'image' or 'file'"),
        ("center,steering,velocity,mph", "is the speed 'velocity' or 'mph'"),
    ],
)
def test_what_fits_as_well_as_another_is_asked_for_in_one_line(tmp_path, header, text):
    with pytest.raises(AmbiguousHeaderError, match=text):
        columns_of(header.split(","))
    path = tmp_path / "driving_log.csv"
    path.write_text(f"{header}\n")
    with pytest.raises(ValueError, match="Rename the right one") as refused:
        read_log(path)
    assert "\n" not in str(refused.value) and "row 1" in str(refused.value)


def test_words_of_a_sentence_name_no_columns():
    assert named_columns("recorded on a sunny day, 3 laps".split(",")) == set()


@pytest.mark.parametrize(
    "header",
    ["frame,predicted_steering,yaw,pitch,roll", "f,steering_torque,x,y,z"],
)
def test_header_of_other_quantities_is_not_read_by_the_place(header, tmp_path):
    path = tmp_path / "driving_log.csv"
    path.write_text(f"{header}\na.jpg,0.1,0.2,0.3,0.4\n")
    with pytest.raises(ValueError, match="row 1: the header has no column for center"):
        read_log(path)


def test_second_header_of_other_steering_is_refused(tmp_path):
    path = tmp_path / "driving_log.csv"
    row, other = "a.jpg,0.1,9,0,20", "center,steering_deg,throttle,brake,speed"
    path.write_text("\n".join([other.replace("_deg", ""), row, other, row, ""]))
    with pytest.raises(ValueError, match="row 3: another header calls the steering"):
        read_log(path)
