use neuralsmpl::{pack::Pack, frame::*, eval::*, backbone::*};
use std::path::Path;
fn main(){
 let pack=Pack::load(Path::new("models/person")).unwrap();
 for cl in ["p2s_single_cam2","p2s_single_cam1"] {
 let clip=Path::new("/tmp/w/real_frames").join(cl);
 let fr=read_manifest(&clip.join("manifest.jsonl")).unwrap();
 let mut l=Locator::load(&pack).unwrap(); let mut b=Backbone::load(&pack.backbone,&pack.manifest.backbone).unwrap(); let mut o=b.observations();
 for i in [2,3,4,5,6,7,8] { let f=&fr[i]; let im=load_image(&clip.join(&f.image)).unwrap(); let k=f.camera().unwrap();
  let im2=image::imageops::flip_horizontal(&im);
  let mut k2=k; k2.cx=im.width() as f32-k.cx; k2.p2 = -k.p2;
  let p=l.locate(&im,&k,&LocateOptions{box_px:f.box_px,most:1,..Default::default()}).unwrap()[0].region;
  print!("{cl} frame {} angle {:.2}: ",f.frame,p.angle);
  let t=(k.project(f.joint("left_shoulder").unwrap())-k.project(f.joint("right_shoulder").unwrap())).x;
  for (fl,a,s) in [(false,1.0,1.0),(false,0.5,1.0),(false,0.0,1.0),(false,1.0,1.2),(false,0.5,1.2),(false,0.0,1.2),(true,1.0,1.0),(true,0.5,1.0),(true,0.0,1.0),(true,0.0,1.2)] {
    let mut r=Region{angle:p.angle*a,side:p.side*s,..p};
    if fl { r.angle=-r.angle; r.center.x=im.width() as f32-r.center.x; b.observe(&im2,&k2,&r,&mut o).unwrap(); } else { b.observe(&im,&k,&r,&mut o).unwrap(); }
    let mut d=(r.to_image(o.landmarks[11].point,256.0)-r.to_image(o.landmarks[12].point,256.0)).x; 
    let vis: f32=o.landmarks.iter().map(|l|l.visibility*l.presence).sum::<f32>()/33.0;
    print!(" {}{:.2}/{:.4}", if (d>0.0)==(t>0.0) {"ok"} else {"SW"}, vis,o.score);
  }
  println!();
 }}}
